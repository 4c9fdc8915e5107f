/** Reasons of cells without a result, each once, with the contenders it holds for. */

import type { Cell, MeasuredCell } from '../analysis/model.ts'
import { reasonText } from './phrases.ts'

export type UnmeasuredCell = Exclude<Cell, MeasuredCell>

export class Footnotes {
  readonly #contenders = new Map<string, Set<string>>()

  /** The number of its reason, from 1. */
  readonly numberOf = (cell: UnmeasuredCell): number => {
    const reason = reasonText(cell)
    const known = this.#contenders.get(reason) ?? new Set()
    this.#contenders.set(reason, known.add(cell.contender))
    return [...this.#contenders.keys()].indexOf(reason) + 1
  }

  /** In the order of their numbers. Who is meant is said once: many reasons begin with the name. */
  get texts(): readonly string[] {
    return [...this.#contenders].map(([reason, contenders]) => {
      const names = [...contenders].join(', ')
      return reason.startsWith(`${names} `) ? reason : `${names}: ${reason}`
    })
  }
}
