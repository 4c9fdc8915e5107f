/** Limits of what a transaction may say about itself. */

import { ShootoutError } from '../core/errors.ts'
import { emptyMetadata, type TransactionMetadata } from './storage.ts'

/** Bytes of UTF-8 of each part. */
const metadataBytesLimit = 65_535

/** @throws ShootoutError `metadata-too-long` */
export function checkMetadata(metadata: TransactionMetadata): void {
  if (metadata === emptyMetadata) return
  const { user, description, extension } = metadata
  const sizes = {
    user: Buffer.byteLength(user),
    description: Buffer.byteLength(description),
    extension: extension.length,
  }
  for (const [part, bytes] of Object.entries(sizes)) {
    if (bytes <= metadataBytesLimit) continue
    throw new ShootoutError(
      'metadata-too-long',
      `begin: the transaction's ${part} takes ${bytes} bytes; at most ${metadataBytesLimit} can be kept`,
      { details: { part, bytes, bytesLimit: metadataBytesLimit } },
    )
  }
}
