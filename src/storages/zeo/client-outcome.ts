/**
 * What became of a commit whose connection was lost behind its `finish`: the client connects again and asks. Only the
 * same run of the server can tell.
 */

import { DisconnectedError, isTransient, ShootoutError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import { sameBytes } from './client-session.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { types } from './protocol.ts'

/**
 * The tid of the commit.
 * @param lost the link that it was sent by
 * @throws DisconnectedError it did not take place, and never will; ShootoutError `commit-outcome-unknown`
 */
export async function askOutcome(
  storage: ClientStorage,
  lost: Link,
  { view, number }: { readonly view: number; readonly number: number },
  cause: unknown,
): Promise<Tid> {
  for (;;) {
    let link: Link
    try {
      link = await storage.session.link()
    } catch (error) {
      throw unknownOutcome(error)
    }
    // Another run of the server knows nothing of the commits before it.
    if (!sameBytes(link.welcome.run, lost.welcome.run)) throw unknownOutcome(cause)
    let outcome: { readonly code: number; readonly tid: Tid }
    try {
      storage.counted.roundTrips++
      const fields = link.fields
        .u32(view)
        .id(number as Tid)
        .take()
      outcome = await link.call(types.outcome, 0, fields, (body) => ({ code: body.u8(), tid: body.tid() }))
    } catch (error) {
      if (link.isLost && isTransient(error)) continue
      throw error
    }
    if (outcome.code === 1) return outcome.tid
    if (outcome.code === 2) throw unknownOutcome(cause)
    throw new DisconnectedError(
      'zeo: the connection was lost during a commit, which did not take place; repeat the transaction',
      { cause },
    )
  }
}

function unknownOutcome(cause: unknown): ShootoutError {
  return new ShootoutError(
    'commit-outcome-unknown',
    'zeo: the connection was lost during a commit, and the server that could tell what became of it is gone; ' +
      'look whether the changes are there before repeating them',
    { cause },
  )
}
