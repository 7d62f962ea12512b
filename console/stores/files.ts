import { bytes, counted } from '../../lib/amounts.ts'
import type { CountedStore, PageStore, Share } from './store.ts'
import { preserved } from './what-stays.ts'

export const files: PageStore<'files'> = {
  title: 'Files',
  name: 'the files',
  share,
  stays: (found) => preserved(share(found), 'file'),
  place: ({ bucket, prefix }) => ({ address: `s3://${bucket}/${prefix}` }),
  size: (found) => bytes(found.bytes),
  proof: 'the copies that S3 makes of the files are all found again, with the size and ETag it gave them',
  meanwhile: 'Files that are written meanwhile stay, and are told.',
  foundAgain: "S3's copies of the files were all found, with the size and ETag that it had given them.",
  amount: ({ objects, bytes: size }) => `${counted(objects, 'file')} (${bytes(size)})`,
}

function share({ objects, preservedObjects: stays, approximate: estimated }: CountedStore['files']): Share {
  return { goes: objects - stays, stays, estimated }
}
