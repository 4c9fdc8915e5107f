/** What topics about whole transactions need: a store that has some, and what is in it, to be compared. */

import type { Tid } from '../core/ids.ts'
import type { Storage, TransactionRecord } from '../storages/storage.ts'
import { toText } from './client.ts'
import type { Workshop } from './workshop.ts'

export async function collect(storage: Storage, from?: Tid, to?: Tid): Promise<TransactionRecord[]> {
  const found: TransactionRecord[] = []
  for await (const transaction of storage.iterate!(from, to)) found.push(transaction)
  return found
}

/** Comparable and printable. */
export const plain = (transactions: readonly TransactionRecord[]) =>
  transactions.map(({ tid, records }) => ({
    tid,
    records: [...records]
      .sort((a, b) => a.oid - b.oid)
      .map(({ oid, data }) => `${oid}: ${data === null ? 'deleted' : toText(data)}`),
  }))

/** Each object in a transaction of its own, so that a storage without history has them all too. */
export async function withTransactions(shop: Workshop, count: number) {
  const client = await shop.client()
  const oids = await client.newOids(count)
  const tids: Tid[] = []
  for (const [index, oid] of oids.entries()) tids.push(await client.write(oid, `${index}`))
  return { client, oids, tids, storage: client.storage }
}
