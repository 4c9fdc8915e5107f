/**
 * Shows a gate as it goes: on a terminal one line redrawn in place, elsewhere a line now and then. It writes only when
 * it is told something, which is between measurements.
 */

import type { CounterComparison } from '../analysis/gate/counters.ts'
import type { Want } from '../analysis/gate/suite.ts'
import { counted, formatWait } from '../core/units.ts'
import type { GateFailure } from '../results/gate-schema.ts'
import type { Setting } from '../results/schema.ts'
import { counterText, gateCellText } from './gate-phrases.ts'
import type { LiveOptions, LiveStream } from './live.ts'
import { StatusLine } from './status-line.ts'
import { painter } from './terminal.ts'

const stageWords = {
  pilot: 'comparing the baseline with itself',
  screen: 'screening',
  confirm: 'confirming',
} as const

/** Without a terminal, this many pairs between two lines. */
const pairsPerLine = 50

export interface GateLive {
  counted(setting: Setting, comparison: CounterComparison): void
  block(wants: readonly Want[], pairs: number, remainingNs: number): void
  failed(setting: Setting, failure: GateFailure): void
  /** What failed is looked at with a profiler. */
  explaining(setting: Setting): void
  /** A block does not count, for both sides. */
  disturbed(reason: string): void
  /** Removes the line, so that the report can be printed. */
  close(): void
}

export function gateLive(stream: LiveStream, { tty, color }: LiveOptions): GateLive {
  const paint = painter(color)
  const line = new StatusLine(stream)
  let lastStage = ''
  let lastPairs = 0

  const say = (text: string) => line.say(text)
  return {
    counted(setting, { changes, equal }) {
      const grown = changes.filter(({ gates }) => gates)
      if (grown.length > 0) {
        say(`${paint('red', 'FAIL')}   ${gateCellText({ setting })}: ${grown.map(counterText).join('; ')}`)
      } else if (!tty) {
        say(
          `${gateCellText({ setting })}: ${equal} counters equal${changes.length === 0 ? '' : `, ${changes.map(counterText).join('; ')}`}`,
        )
      }
    },
    block(wants, pairs, remainingNs) {
      const stage = wants[0]!.stage
      const text = `${stageWords[stage]}: ${counted(wants.length, 'cell')}, up to ${wants[0]!.upTo} pairs each; ${pairs} pairs so far, at most ${formatWait(remainingNs)} to go`
      if (tty) line.show(text)
      else if (stage !== lastStage || pairs - lastPairs >= pairsPerLine) {
        say(text)
        lastStage = stage
        lastPairs = pairs
      }
    },
    failed(setting, { side, step, error }) {
      say(
        `${paint('red', 'ERROR')}  ${gateCellText({ setting })}: ${side}: ${error.message} (${step}, ${error.code})`,
      )
    },
    explaining(setting) {
      say(`${gateCellText({ setting })} became slower; two more pairs with a profiler, to see why`)
    },
    disturbed(reason) {
      say(`a block is set aside for both sides: ${reason}`)
    },
    close: () => line.erase(),
  }
}
