/** Objects that refer to each other, for the topics about packing. */

import { type Oid, rootOid } from '../core/ids.ts'
import type { PackOptions, PackResult } from '../storages/storage.ts'
import { type Client, toText } from './client.ts'
import type { Workshop } from './workshop.ts'

/** Texts of these objects look like `name>3,7`: a name, and the objects that it refers to. */
export function references(data: Uint8Array): Oid[] {
  const [, targets = ''] = toText(data).split('>')
  return targets === '' ? [] : targets.split(',').map((target) => Number(target) as Oid)
}

export const linked = (name: string, ...targets: readonly Oid[]) => `${name}>${targets.join(',')}`

/** Ends all snapshots first: what an open one can see must stay. */
export async function pack(client: Client, options: Partial<PackOptions> = {}): Promise<PackResult> {
  await client.instance.afterCompletion()
  return await client.storage.pack!({ before: client.storage.lastTid, ...options })
}

/** root → a → b, and c that nothing refers to. */
export async function graph(shop: Workshop) {
  const client = await shop.client()
  const [a, b, c] = await client.newOids(3)
  await client.commit(
    new Map([
      [rootOid, linked('root', a!)],
      [a!, linked('a', b!)],
      [b!, linked('b')],
      [c!, linked('c')],
    ]),
  )
  return { client, a: a!, b: b!, c: c! }
}
