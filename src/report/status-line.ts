/** One line at the end of a terminal's output that says what is under way. It is redrawn in place, and gives way to text. */

import { formatWait } from '../core/units.ts'
import type { LiveStream } from './live.ts'

export class StatusLine {
  readonly #stream: LiveStream
  #isDrawn = false

  constructor(stream: LiveStream) {
    this.#stream = stream
  }

  /** A line that wrapped could not be erased, so a longer one is cut. */
  show(text: string): void {
    this.erase()
    this.#stream.write(text.slice(0, (this.#stream.columns ?? 80) - 1))
    this.#isDrawn = true
  }

  /** A line that stays. */
  say(text: string): void {
    this.erase()
    this.#stream.write(`${text}\n`)
  }

  erase(): void {
    if (this.#isDrawn) this.#stream.write('\r\u001b[K')
    this.#isDrawn = false
  }
}

/** `, about 12s left`; nothing while it is too early, when an estimate would only mislead. */
export function remainingText(fraction: number, elapsedMs: number): string {
  if (fraction <= 0.01 || elapsedMs <= 1000) return ''
  return `, about ${formatWait(((elapsedMs * (1 - fraction)) / fraction) * 1e6)} left`
}
