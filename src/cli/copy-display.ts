/** Shows a copy as it goes: on a terminal one line that is redrawn, elsewhere a plain line now and then. */

import { formatBytes, formatWait } from '../core/units.ts'
import type { CopyPhase, CopyProgress } from '../storages/copy/copy.ts'

/** What is asked of a stream: `process.stderr` has it. */
export interface CopyStream {
  write(text: string): unknown
  readonly columns?: number | undefined
}

const redrawMs = 100
const plainLineMs = 10_000

export class CopyDisplay {
  readonly #stream: CopyStream
  readonly #isTerminal: boolean
  readonly #nowMs: () => number
  #phase: CopyPhase | undefined
  #phaseStartMs = 0
  #shownMs = 0
  #isDrawn = false

  /** @param nowMs a clock that never goes back */
  constructor(stream: CopyStream, { tty }: { readonly tty: boolean }, nowMs = () => performance.now()) {
    this.#stream = stream
    this.#isTerminal = tty
    this.#nowMs = nowMs
  }

  show(progress: CopyProgress): void {
    const now = this.#nowMs()
    if (progress.phase !== this.#phase) {
      this.#phase = progress.phase
      this.#phaseStartMs = now
      this.#shownMs = now
    }
    if (now - this.#shownMs < (this.#isTerminal ? redrawMs : plainLineMs)) return
    this.#shownMs = now
    const text = this.#text(progress, now - this.#phaseStartMs)
    if (!this.#isTerminal) {
      this.#stream.write(`${text}\n`)
      return
    }
    this.#erase()
    this.#stream.write(text.slice(0, (this.#stream.columns ?? 80) - 1))
    this.#isDrawn = true
  }

  note(line: string): void {
    this.#erase()
    this.#stream.write(`${line}\n`)
  }

  end(): void {
    this.#erase()
  }

  #text({ phase, fraction, records, bytes }: CopyProgress, elapsedMs: number): string {
    const percent = `${Math.floor(fraction * 100)} %`.padStart(5)
    const rate = `${formatBytes(bytes / (elapsedMs / 1e3))}/s`
    // Too early, an estimate would only mislead.
    const isKnown = fraction > 0.01 && elapsedMs > 1000
    const rest = isKnown ? `, about ${formatWait(((elapsedMs * (1 - fraction)) / fraction) * 1e6)} left` : ''
    return `${phase} ${percent}  ${records} records, ${formatBytes(bytes)}, ${rate}${rest}`
  }

  #erase(): void {
    if (this.#isDrawn) this.#stream.write('\r\u001b[K')
    this.#isDrawn = false
  }
}
