/** The storage's two-phase commit, for scenarios that work below the object layer. Waits only where it has to. */

import { isPromise } from '../core/awaitable.ts'
import type { Tid } from '../core/ids.ts'
import type { Awaitable, Transaction } from '../storages/storage.ts'

export function finishTransaction(transaction: Transaction): Awaitable<Tid> {
  const voted = transaction.vote()
  return isPromise(voted) ? voted.then((one) => one.finish()) : voted.finish()
}
