import { buckets } from '../environment.ts'
import type { Peer } from '../subjects/subject.ts'
import { timed } from './command.ts'

/** On S3's side, too, as both ends are of one service. */
export const rcloneCopy = (of: string): Peer => ({
  name: 'rclone copy --transfers 64',
  of,
  needs: ['rclone'],
  async measure({ world, folder }) {
    await world.forgetBackups()
    const { AWS_ENDPOINT_URL_S3 = '', AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = world.env
    const env = {
      HOME: folder,
      RCLONE_CONFIG_S3_TYPE: 's3',
      RCLONE_CONFIG_S3_PROVIDER: 'Other',
      RCLONE_CONFIG_S3_ENDPOINT: AWS_ENDPOINT_URL_S3,
      RCLONE_CONFIG_S3_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID,
      RCLONE_CONFIG_S3_SECRET_ACCESS_KEY: AWS_SECRET_ACCESS_KEY,
    }
    const copies = `s3:${buckets.backups}/peer/`
    const files = `s3:${buckets.files}/${buckets.prefix}`
    const figure = await timed(`rclone copy --transfers 64 "${files}" "${copies}"`, env)
    // It ends in order also when it found nothing to copy.
    await timed(`rclone size --json "${copies}" | grep -F '"count":${world.size.files},'`, env)
    return figure
  },
})
