import manifest from '../package.json' with { type: 'json' }

/** The version that a manifest names as the one that wrote it. */
export const toolVersion: string = manifest.version
