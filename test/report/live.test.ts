import { describe, expect, test } from 'vitest'
import { liveReporter } from '../../src/report/live.ts'
import type { Progress, Reporter } from '../../src/results/reporter.ts'
import type { SuiteLine } from '../../src/results/schema.ts'
import { sampleLines } from './sample.ts'

const escapeSequence = new RegExp(`^${String.fromCharCode(27)}\\[(\\d*)([AJm])`)

/** As much of a terminal as the display uses: carriage return, cursor up, clear to the end. */
class Screen {
  readonly columns: number
  text = ''
  lines: string[] = ['']
  #row = 0

  constructor(columns: number) {
    this.columns = columns
  }

  write(text: string): void {
    this.text += text
    for (let at = 0; at < text.length; ) {
      const rest = text.slice(at)
      const command = escapeSequence.exec(rest)
      if (command !== null) {
        if (command[2] === 'A') this.#row -= Number(command[1])
        if (command[2] === 'J') this.lines = [...this.lines.slice(0, this.#row), '']
        at += command[0].length
        continue
      }
      if (rest[0] === '\n') {
        this.#row++
        this.lines[this.#row] ??= ''
      } else if (rest[0] !== '\r') this.lines[this.#row] = `${this.lines[this.#row]}${rest[0]}`
      at++
    }
  }
}

/** What a runner would say about a whole run. */
function play(reporter: Reporter): void {
  const lines = sampleLines({ forks: 3, scenarios: ['update'], objects: [20], batches: 2 })
  const suite = lines[0] as SuiteLine
  reporter.onSuite?.(suite)
  for (const line of lines) if (line.type === 'skip') reporter.onSkip?.(line)
  let done = 0
  const total = 3 * suite.settings.length
  for (let fork = 0; fork < 3; fork++) {
    for (const setting of suite.settings) {
      const progress: Progress = {
        stage: 'measuring',
        done,
        total,
        setting,
        fork,
        remainingNs: (total - done) * 1e9,
      }
      reporter.onProgress?.(progress)
      for (const line of lines) {
        if (line.type !== 'fork' || line.fork !== fork) continue
        if (line.concurrency.kind !== setting.concurrency.kind) continue
        if (line.concurrency.workers === setting.concurrency.workers) reporter.onFork?.(line)
      }
      done++
    }
  }
  const end = lines.at(-1)!
  if (end.type === 'end') reporter.onEnd?.(end)
  void reporter.close?.()
}

describe('the live display', () => {
  test('leaves nothing on a terminal but what lasts: plan, skips, failures', () => {
    const screen = new Screen(100)
    play(liveReporter(screen, { tty: true, color: true }))
    expect(screen.lines.filter((line) => line !== '')).toEqual([
      'memory, file, sqlite in 4 settings, up to 3 forks each, seed sample',
      '3 cells cannot exist and will be skipped; the table says why',
      expect.stringMatching(
        /^failed: sqlite, update, processes 2, 20 objects, fork 3, verify: worker 1 finds/,
      ),
    ])
  })

  test('status lines never reach the edge of the terminal, where they would wrap', () => {
    for (const columns of [30, 60, 120]) {
      const screen = new Screen(columns)
      const reporter = liveReporter(screen, { tty: true, color: false })
      const suite = sampleLines({ forks: 1, scenarios: ['add'], objects: [1] })[0] as SuiteLine
      for (let done = 0; done < 4; done++) {
        reporter.onProgress?.({
          stage: 'measuring',
          done,
          total: 4,
          setting: suite.settings[done]!,
          fork: 0,
          remainingNs: 65e9,
        })
        expect(Math.max(...screen.lines.map((line) => line.length))).toBeLessThan(columns)
      }
    }
  })

  test('tells every step in a line of its own where there is no terminal, without escape codes', () => {
    const screen = new Screen(80)
    play(liveReporter(screen, { tty: false, color: false }))
    expect(screen.text).not.toContain('\u001b')
    const steps = screen.text.split('\n').filter((line) => line.startsWith('['))
    expect(steps).toHaveLength(12)
    expect(steps[0]).toMatch(
      /^\[1\/12\] update, async 1, 20 objects, fork 1: memory [\d.]+ µs, file [\d.]+ µs, sqlite [\d.]+ µs; 11s left$/,
    )
    expect(steps[11]).toMatch(/^\[12\/12\] update, processes 2, 20 objects, fork 3: sqlite failed$/)
  })
})
