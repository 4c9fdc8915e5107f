/**
 * Galera: several servers that hold the same, each of which takes writes. Nobody else's locks are seen there: two nodes
 * may change one row at once, and when they commit, the second is refused with what the driver calls a deadlock. What
 * keeps a store right all the same:
 *
 * - *Every commit changes the row of `store_state`.* Of two commits that did not know of each other one is refused, on
 *   whichever nodes they are and whatever they change. So tids are unique, and their order is the order in which every
 *   node makes the commits visible; an object that was only read, and locked on one node alone, cannot be changed beside
 *   the commit that relied on it.
 * - *Whatever must not go on beside something else changes a row of it*, since locks alone do not count elsewhere.
 * - *Every table has a primary key*: by it nodes tell which rows a transaction changed.
 */

import { ShootoutError } from '../../../core/errors.ts'
import type { MySession } from './driver.ts'

/** What is refused so often in a row has met many others; the application may try again. */
const refusalsMax = 20
/** The pause after a refusal is random, so that nodes do not march in step; about a commit between nodes. */
const pauseMsMax = 10

/** Whether this server is a node of a cluster. */
export async function isClusterNode(session: MySession): Promise<boolean> {
  const [row] = await session.query("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")
  return row?.['Value'] === 'ON'
}

/** The server has rolled the transaction back so that others could go on. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ShootoutError && error.code === 'deadlock'
}

/**
 * The result of `work`, done anew when the server refuses it.
 * @param work a whole transaction; told how often it has been refused
 */
export async function whileRefused<T>(
  work: (refusals: number) => Promise<T>,
  limit: number = refusalsMax,
): Promise<T> {
  for (let refusals = 0; ; refusals++) {
    try {
      return await work(refusals)
    } catch (error) {
      if (!isRefusal(error) || refusals === limit) throw error
    }
    await new Promise((resolve) => {
      setTimeout(resolve, Math.random() * pauseMsMax)
    })
  }
}
