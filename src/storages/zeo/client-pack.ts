/**
 * Packing through the server. The function that finds references stays here: the server sends the records it has to
 * know about, and is told what they refer to (served-pack.ts).
 */

import type { Oid } from '../../core/ids.ts'
import type { PackOptions, PackResult } from '../storage.ts'
import type { BodyReader } from './body.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { packProgress, types } from './protocol.ts'

/** @throws what `references` or `onProgress` throws, the reason of the signal, or what the server answers */
export async function packThere(storage: ClientStorage, options: PackOptions): Promise<PackResult> {
  const { before, references, signal, onProgress } = options
  storage.checkWritable()
  signal?.throwIfAborted()
  return await storage.request(async (link) => {
    let failure: { readonly error: unknown } | undefined
    const fields = link.fields
      .id(before)
      .u8(references === undefined ? 0 : 1)
      .take()
    const packing = link.call(types.pack, 0, fields, readResult, (body) => {
      if (failure !== undefined) return
      try {
        if (body.u8() === packProgress) onProgress?.(body.f64())
        else answer(link, request, body, references!)
      } catch (error) {
        giveUp(error)
      }
    })
    const request = link.lastRequest
    // The answer is waited for all the same: until then the server may still be at work.
    const giveUp = (error: unknown) => {
      failure ??= { error }
      if (!link.isLost) link.tell(types.cancel, 0, link.fields.u32(request).take())
    }
    const onAbort = () => giveUp(signal!.reason)
    signal?.addEventListener('abort', onAbort)
    try {
      const result = await packing
      storage.packed()
      return result
    } catch (error) {
      throw failure === undefined ? error : failure.error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  })
}

function answer(
  link: Link,
  request: number,
  body: BodyReader,
  references: (data: Uint8Array) => Iterable<Oid>,
): void {
  const lengths = Array.from({ length: body.count(4) }, () => body.u32())
  // All are found before the first is written: when one throws, nothing of the answer must be left behind.
  const found = lengths.map((length) => [...references(body.raw(length))])
  const { fields } = link
  fields.u32(request)
  for (const oids of found) {
    fields.u32(oids.length)
    for (const oid of oids) fields.id(oid)
  }
  link.tell(types.references, 0, fields.take())
}

function readResult(body: BodyReader): PackResult {
  return {
    removedRevisions: body.f64(),
    removedObjects: body.f64(),
    bytesBefore: body.f64(),
    bytesAfter: body.f64(),
  }
}
