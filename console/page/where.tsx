import { useSession } from './session.ts'

/** What lies behind the environment's name: a wrong address is seen before the name is typed. */
export function Where() {
  const { environment, where } = useSession().session
  const places = [
    ['Database', where.database],
    ['Cache', where.cache],
    ['Files', where.files],
    ['Backups', where.backups],
  ] as const
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for what can be filled in
    <div role="group" aria-label={`Where ${environment} is`}>
      <dl class="places">
        {places.map(([name, address]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="address">{address}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}
