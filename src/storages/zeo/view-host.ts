/** What a view asks of the connection that it came by. */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, Storage, StorageInstance } from '../storage.ts'
import type { Channel } from './channel.ts'
import type { ServerLimits } from './limits.ts'
import type { Kept } from './messages.ts'
import type { AheadHost } from './served-ahead.ts'
import type { ServedBlobs } from './served-blobs.ts'
import type { Changes } from './served-changes.ts'
import type { Commits } from './served-transaction.ts'
import type { ServedView } from './served-view.ts'
import type { Slots } from './turns.ts'

export interface ViewHost extends AheadHost {
  readonly storage: Storage
  readonly channel: Channel
  readonly limits: ServerLimits
  fail(request: number, error: unknown): void
  /** An answer that shows transaction `tid` is about to be queued: finishes up to it must be answered before. */
  showing(tid: Tid): void
  /** What the snapshot of `instance` shows of all that has changed since `since`. */
  changesSince(instance: StorageInstance, since: Tid, withData: boolean): Awaitable<Changes>
  /** As `changesSince`, where `since` is from before this run of the server. */
  changesBefore(instance: StorageInstance, since: Tid, witness: Kept, withData: boolean): Promise<Changes>
  /** A snapshot is opened ahead of its use; the client wants to hear when it becomes old. */
  watch(): void
  /** A transaction holds locks and waits for its client; returns how to say that it no longer does. */
  holding(): () => void
  /** False when the client has given this transaction up. */
  begin(view: ServedView, number: number): boolean
  commitsOf(view: ServedView): Commits
  loaded(count: number): void
  /** Parts of bulk answers that are being read, of all views of this client. */
  readonly parts: Slots
  /** The client is told that these are not what they were. */
  changed(oids: Iterable<Oid> | 'all'): void
  readonly blobs: ServedBlobs
  /** So many bytes more, or fewer, wait for their turn. */
  waits(bytes: number): void
  /** Of the server's clock, ms. */
  now(): number
  /** A message was handled that arrived at `sinceMs`. */
  took(type: number, view: number, sinceMs: number): void
}

export function unsupported(what: string): ShootoutError {
  return new ShootoutError('unsupported', `${what}: the served storage does not have it`)
}
