/** Where a connection is in its transaction, and what to say of a call that does not go with that. */

import { ClosedError, StorageTransactionError } from '../core/errors.ts'

/**
 * `idle`: between transactions. `open`: in one. `failed`: its commit failed, only `abort` helps. `closed`: in the pool
 * or gone.
 */
export type Phase = 'idle' | 'open' | 'committing' | 'failed' | 'closed'

/** @throws ClosedError, StorageTransactionError that names the next step */
export function wrongPhase(phase: Phase, wanted: string): never {
  switch (phase) {
    case 'closed':
      throw new ClosedError('the connection')
    case 'idle':
      throw new StorageTransactionError(`cannot ${wanted}: no transaction is open, call begin() first`)
    case 'failed':
      throw new StorageTransactionError(`cannot ${wanted}: the last commit failed, call abort() first`)
    case 'committing':
      throw new StorageTransactionError(`cannot ${wanted}: a commit is under way, await it`)
    case 'open':
      throw new StorageTransactionError(`cannot ${wanted}: a transaction is open, commit or abort it first`)
  }
}
