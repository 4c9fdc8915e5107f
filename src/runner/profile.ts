/**
 * V8 CPU profiles of isolates, for `--profile`. A profiled run is marked in its results and never compared: the
 * profiler itself costs time.
 */

import { writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { makeFolder } from '../core/make-folder.ts'

export interface Profiling {
  /** Ends profiling and writes the file. */
  finish(): Promise<void>
}

/**
 * @param file name without its ending; the folder is made where it is missing
 * @param intervalUs between samples; V8's own choice, 1 ms, where it is not given
 */
export async function startProfiling(folder: string, file: string, intervalUs?: number): Promise<Profiling> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  if (intervalUs !== undefined) await session.post('Profiler.setSamplingInterval', { interval: intervalUs })
  await session.post('Profiler.start')
  return {
    async finish() {
      const { profile } = await session.post('Profiler.stop')
      session.disconnect()
      makeFolder(folder)
      await writeFile(join(folder, `${file}.cpuprofile`), JSON.stringify(profile))
    },
  }
}
