/** Shows a copy as it goes: on a terminal one line that is redrawn, elsewhere a plain line now and then. */

import { formatBytes } from '../core/units.ts'
import type { LiveStream } from '../report/live.ts'
import { remainingText, StatusLine } from '../report/status-line.ts'
import type { CopyPhase, CopyProgress } from '../storages/copy/copy.ts'

const redrawMs = 100
const plainLineMs = 10_000

export class CopyDisplay {
  readonly #line: StatusLine
  readonly #isTerminal: boolean
  readonly #nowMs: () => number
  #phase: CopyPhase | undefined
  #phaseStartMs = 0
  #shownMs = 0

  /** @param nowMs a clock that never goes back */
  constructor(stream: LiveStream, { tty }: { readonly tty: boolean }, nowMs = () => performance.now()) {
    this.#line = new StatusLine(stream)
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
    if (this.#isTerminal) this.#line.show(text)
    else this.#line.say(text)
  }

  note(line: string): void {
    this.#line.say(line)
  }

  end(): void {
    this.#line.erase()
  }

  #text({ phase, fraction, records, bytes }: CopyProgress, elapsedMs: number): string {
    const percent = `${Math.floor(fraction * 100)} %`.padStart(5)
    const rate = `${formatBytes(bytes / (elapsedMs / 1e3))}/s`
    return `${phase} ${percent}  ${records} records, ${formatBytes(bytes)}, ${rate}${remainingText(fraction, elapsedMs)}`
  }
}
