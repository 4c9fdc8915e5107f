import { afterEach, expect, test, vi } from 'vitest'
import { isTerminal, useColor } from '../../src/cli/console.ts'

afterEach(() => vi.unstubAllEnvs())

test('a dumb terminal is written to like a file: nothing redrawn, no colour', () => {
  vi.stubEnv('FORCE_COLOR', undefined)
  vi.stubEnv('NO_COLOR', undefined)
  vi.stubEnv('TERM', 'xterm-256color')
  expect([isTerminal({ isTTY: true }), useColor({ isTTY: true })]).toEqual([true, true])
  vi.stubEnv('TERM', 'dumb')
  expect([isTerminal({ isTTY: true }), useColor({ isTTY: true })]).toEqual([false, false])
})
