/** Reports that cannot be written where they shall be: the measuring is done, and what is wrong is the place. */

import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { analyse } from '../../src/analysis/analyse.ts'
import { printGate } from '../../src/cli/gate-print.ts'
import { writeHtml } from '../../src/cli/report.ts'
import { parseResults } from '../../src/results/reader.ts'
import { coded } from '../coded.ts'
import { cells, gateReport } from '../report/gate-sample.ts'
import { sampleText } from '../report/sample.ts'

afterEach(() => vi.restoreAllMocks())

/** There is no folder at this place, and none can be made. */
const nowhere = join(import.meta.filename, 'report')

test('a page that cannot be written is refused, with its path and the option', async () => {
  const analysis = analyse(parseResults(sampleText({ scenarios: ['add'], forks: 1 }), 'x.jsonl'))
  const writing = writeHtml(analysis, nowhere)
  await expect(writing).rejects.toThrow(coded('html-unwritable', /report \(ENOTDIR.*--html/))
})

test.each(['markdown', 'junit'])(
  'a gate whose %s cannot be written says so, behind its report',
  async (flag) => {
    const stdout = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const printing = printGate(gateReport([cells.pass]), {
      format: 'table',
      annotations: false,
      [flag]: nowhere,
    })
    await expect(printing).rejects.toThrow(coded('report-unwritable', nowhere))
    expect(stdout).toHaveBeenCalled()
  },
)
