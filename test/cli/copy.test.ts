/** `shootout copy` within one process: its exit codes, stores that are the same by another name, and what it shows. */

import { linkSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type CopyFlags, type CopyOutput, copy } from '../../src/cli/copy.ts'
import { CopyDisplay } from '../../src/cli/copy-display.ts'
import type { LiveStream } from '../../src/report/live.ts'
import type { CopyProgress } from '../../src/storages/copy/copy.ts'
import { loadDriver } from '../../src/storages/sql/sqlite/driver.ts'
import { zeroCounters } from '../../src/storages/storage.ts'
import { fill, newFolder, openFile } from '../storages/copy/stores.ts'

let folder: string

beforeEach(() => {
  folder = newFolder()
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function makeLog(name: string): Promise<string> {
  const storage = await openFile(join(folder, name))
  await fill(storage, 'copy', 12)
  await storage.close()
  return `file:${join(folder, name)}`
}

interface Ran {
  readonly code: number
  readonly said: string
}

async function run(
  source: string,
  destination: string,
  flags: CopyFlags,
  onProgress: CopyOutput['progress'] = () => {},
): Promise<Ran> {
  let said = ''
  const output: CopyOutput = {
    result: (text) => {
      said += text
    },
    note() {},
    progress: onProgress,
  }
  return { code: await copy(source, destination, flags, output), said }
}

describe('exit codes', () => {
  test('a difference that --verify finds ends with 1, and is told', async () => {
    const source = await makeLog('a.log')
    const path = join(folder, 'b.db')
    const destination = `sqlite:${path}?history=true`
    expect(await run(source, destination, { verify: true })).toMatchObject({ code: 0 })
    const driver = await loadDriver()
    let changes = 0
    // While the copy of before is being checked, in a snapshot, somebody changes it.
    const changed = await run(source, destination, { verify: true }, ({ phase }) => {
      if (phase !== 'checking' || changes++ > 0) return
      const connection = driver.connect(path, { readOnly: false, counters: zeroCounters() })
      connection.execute('UPDATE revision SET data = zeroblob(length(data)) WHERE id = 1')
      connection.close()
    })
    expect(changes).toBeGreaterThan(0)
    expect(changed.code).toBe(1)
    expect(changed.said).toMatch(/: 1 difference\n {2}object \d+ of transaction \d+ has other bytes\n$/)
  })
})

describe('a store is not copied onto itself, not even to be cleared first', () => {
  const names: readonly (readonly [string, (path: string) => string])[] = [
    ['by a path from here', (path) => relative(process.cwd(), path)],
    ['by way of another folder', (path) => join(folder, 'x', '..', '..', relative(join(folder, '..'), path))],
    [
      'by a link to the file',
      (path) => {
        symlinkSync(path, join(folder, 'link.log'))
        return join(folder, 'link.log')
      },
    ],
    [
      'by a link to its folder',
      (path) => {
        symlinkSync(folder, join(folder, 'elsewhere'))
        return join(folder, 'elsewhere', relative(folder, path))
      },
    ],
    [
      'by a second name of the file',
      (path) => {
        linkSync(path, join(folder, 'second.log'))
        return join(folder, 'second.log')
      },
    ],
  ]

  test.each(names)('%s', async (_how, nameOf) => {
    const source = await makeLog('a.log')
    mkdirSync(join(folder, 'x'))
    const path = join(folder, 'a.log')
    const before = readFileSync(path)
    const same = nameOf(path)
    for (const [from, to] of [
      [source, `file:${same}`],
      [`file:${same}`, source],
    ] as const) {
      await expect(run(from, to, { clear: true })).rejects.toMatchObject({ code: 'copy-same-store' })
    }
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('but two stores of the same content are two', async () => {
    const source = await makeLog('a.log')
    expect(await run(source, `file:${join(folder, 'b.log')}`, {})).toMatchObject({ code: 0 })
    expect(await run(source, `file:${join(folder, 'b.log')}`, { clear: true, verify: true })).toMatchObject({
      code: 0,
    })
  })
})

describe('progress', () => {
  class Screen implements LiveStream {
    written: string[] = []
    columns: number | undefined

    write(text: string): void {
      this.written.push(text)
    }

    take(): string[] {
      return this.written.splice(0)
    }
  }

  const progress = (fraction: number, phase: CopyProgress['phase'] = 'copying'): CopyProgress => ({
    phase,
    fraction,
    records: fraction * 1000,
    bytes: fraction * 10_000_000,
  })

  test('on a terminal, one line is redrawn, ten times a second at most, with the time that is left', () => {
    let nowMs = 50_000
    const screen = new Screen()
    const display = new CopyDisplay(screen, { tty: true }, () => nowMs)
    display.show(progress(0))
    nowMs += 99
    display.show(progress(0.005))
    expect(screen.take()).toEqual([])
    nowMs += 1
    display.show(progress(0.1))
    // A tenth of a second tells nothing of the rest.
    expect(screen.take()).toEqual([
      expect.stringMatching(/^copying {2}10 % {2}100 records, [^,]*, [^,]*\/s$/),
    ])
    nowMs += 4900
    display.show(progress(0.25))
    expect(screen.take()).toEqual([
      '\r\u001b[K',
      expect.stringMatching(/^copying {2}25 % .*, about 15s left$/),
    ])
    nowMs += 5000
    display.show(progress(0.5))
    expect(screen.take().at(-1)).toMatch(/ 50 % .*, about 10s left$/)
    display.note('something happened')
    expect(screen.take()).toEqual(['\r\u001b[K', 'something happened\n'])
    display.end()
    expect(screen.take()).toEqual([])
  })

  test('each phase begins anew, and has an estimate of its own', () => {
    let nowMs = 0
    const screen = new Screen()
    const display = new CopyDisplay(screen, { tty: true }, () => nowMs)
    display.show(progress(0.1))
    nowMs += 10_000
    display.show(progress(1))
    screen.take()
    display.show(progress(0.01, 'verifying'))
    nowMs += 2000
    display.show(progress(0.5, 'verifying'))
    expect(screen.take().at(-1)).toMatch(/^verifying {2}50 % .*, about 2s left$/)
    display.end()
    expect(screen.take()).toEqual(['\r\u001b[K'])
  })

  test('a narrow terminal is not overrun', () => {
    let nowMs = 0
    const screen = new Screen()
    screen.columns = 30
    const display = new CopyDisplay(screen, { tty: true }, () => nowMs)
    display.show(progress(0))
    nowMs += 5000
    display.show(progress(0.5))
    expect(screen.take().map((text) => text.length)).toEqual([29])
  })

  test('elsewhere, a plain line every ten seconds', () => {
    let nowMs = 0
    const screen = new Screen()
    const display = new CopyDisplay(screen, { tty: false }, () => nowMs)
    for (; nowMs <= 30_000; nowMs += 500) display.show(progress(nowMs / 60_000))
    display.end()
    const lines = screen.take()
    expect(lines.map((line) => /about (.*) left\n$/.exec(line)?.[1])).toEqual(['50s', '40s', '30s'])
    expect(lines.join('')).not.toContain('\u001b')
  })
})
