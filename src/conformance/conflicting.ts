/** What topics about conflicts need: two clients that want the same object, steps of a commit, and repeating it. */

import { isTransient, type ShootoutError } from '../core/errors.ts'
import type { Oid, Tid } from '../core/ids.ts'
import type { Transaction, VotedTransaction } from '../storages/storage.ts'
import { errorOf, fail, pause } from './claims.ts'
import { type Client, put } from './client.ts'
import type { Workshop } from './workshop.ts'

/** Two clients whose snapshots show the same `text`; then the second commits `theirs`. */
export async function diverge(shop: Workshop, text: string, theirs: string | null) {
  const [mine, other] = await shop.clients(2)
  const oid = await mine!.createOne(text)
  await mine!.poll()
  const { serial } = await mine!.load(oid)
  const committed = await other!.write(oid, theirs)
  return { mine: mine!, other: other!, oid, serial, committed }
}

/** Stores and votes; a conflict may come out at either. Aborts when it does. */
export async function storeAndVote(transaction: Transaction, oid: Oid, serial: Tid, text: string | null) {
  try {
    await put(transaction, oid, serial, text)
    return await transaction.vote()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

export async function finish(voted: VotedTransaction | Promise<VotedTransaction>): Promise<Tid> {
  return await (await voted).finish()
}

/** Every conflict means that somebody else got through, or holds what is wanted and may refuse to be waited for. */
const attemptsMax = 5000

/** Repeats a whole transaction of the client, which polls first, until it is through. */
export async function untilThrough(client: Client, transaction: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const error = await errorOf(transaction)
    if (error === undefined) return
    if (!isTransient(error)) throw error
    failWhereStale(client, error)
    if (attempt === attemptsMax) throw error
    await pause()
  }
}

/**
 * A storage that shows what is stale would conflict for ever. Where the conflict says which revision is current (errors of
 * other packages need not), one look tells: a snapshot shows every revision up to its tid.
 */
function failWhereStale({ instance }: Client, error: unknown): void {
  const { oid, base, current } = (error as Partial<ShootoutError>).details ?? {}
  const { snapshotTid } = instance
  if (typeof base !== 'number' || typeof current !== 'number') return
  if (base < current && current <= snapshotTid) {
    fail(
      `stale read: the snapshot is at ${snapshotTid}, but object ${String(oid)} was read from it at revision ${base}, ` +
        `which was replaced by ${current}`,
    )
  }
}
