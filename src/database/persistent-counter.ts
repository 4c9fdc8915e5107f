/** A number that many can add to at once: concurrent additions are merged, where the storage merges at all. */

import { CorruptDataError } from '../core/errors.ts'
import { PersistentObject, type Value } from './persistent.ts'

/** A number that many can add to at once: concurrent additions are merged. */
export class PersistentCounter extends PersistentObject<number> {
  static readonly className: string = 'shootout.Counter'

  constructor(state = 0) {
    super(state)
  }

  add(amount: number): void {
    this.state = this.state + amount
  }

  protected override checkState(state: Value): number {
    return count(state)
  }

  static resolveConflict(base: Value, committed: Value, mine: Value): Value {
    return count(committed) + count(mine) - count(base)
  }
}

function count(state: Value): number {
  if (typeof state !== 'number') throw new CorruptDataError('the state of a counter is not a number')
  return state
}
