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

/** @param file name without its ending; the folder is made where it is missing */
export async function startProfiling(folder: string, file: string): Promise<Profiling> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
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
