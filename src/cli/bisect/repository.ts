/**
 * The user's repository, which is only read: what is checked out, is checked out into clones of ours that borrow its
 * objects.
 */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { UsageError } from '../../core/errors.ts'
import type { History } from './search.ts'

const run = promisify(execFile)

/** Inside a git hook these name the repository of the hook. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(GIT_|GITHUB_)/.test(name)),
  ) as NodeJS.ProcessEnv
}

async function git(folder: string, ...args: string[]): Promise<string> {
  const options = { env: { ...cleanEnvironment(), LC_ALL: 'C' }, maxBuffer: 1 << 28 }
  return (await run('git', ['-C', folder, ...args], options)).stdout.trim()
}

export interface CommitFacts {
  readonly commit: string
  readonly subject: string
  readonly author: string
  /** ISO 8601. */
  readonly date: string
}

export class Repository implements History {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws UsageError `no-repository` */
  static async open(folder: string): Promise<Repository> {
    try {
      return new Repository(await git(folder, 'rev-parse', '--path-format=absolute', '--git-common-dir'))
    } catch (cause) {
      const reason = (cause as { readonly stderr?: string }).stderr?.trim() || (cause as Error).message
      throw new UsageError(
        'no-repository',
        `${folder} is not in a git repository (${reason}); name one with --repository`,
        { cause },
      )
    }
  }

  /** @throws UsageError `unknown-commit` */
  async commit(name: string): Promise<string> {
    try {
      return await git(
        this.#folder,
        'rev-parse',
        '--verify',
        '--quiet',
        '--end-of-options',
        `${name}^{commit}`,
      )
    } catch (cause) {
      throw new UsageError(
        'unknown-commit',
        `there is no commit "${name}" in ${this.#folder}; check the name, or fetch it`,
        { cause },
      )
    }
  }

  async isAncestor(ancestor: string, commit: string): Promise<boolean> {
    try {
      await git(this.#folder, 'merge-base', '--is-ancestor', ancestor, commit)
      return true
    } catch (cause) {
      if ((cause as { readonly code?: unknown }).code === 1) return false
      throw cause
    }
  }

  async candidates(bad: string, good: readonly string[]): Promise<readonly string[]> {
    const excluded = good.map((commit) => `^${commit}`)
    const listed = await git(this.#folder, 'rev-list', '--bisect-all', bad, ...excluded)
    return listed.split('\n').map((line) => line.split(' ')[0]!)
  }

  async facts(commit: string): Promise<CommitFacts> {
    const shown = await git(this.#folder, 'show', '-s', '--format=%H%x00%s%x00%an%x00%aI', commit)
    const [hash, subject, author, date] = shown.split('\0') as [string, string, string, string]
    return { commit: hash, subject, author, date }
  }

  async clone(folder: string): Promise<void> {
    await git('.', 'clone', '--quiet', '--shared', '--no-checkout', this.#folder, folder)
  }

  /** Everything of another commit goes, what its build made included. */
  async checkOut(folder: string, commit: string): Promise<void> {
    await git(folder, 'checkout', '--quiet', '--force', '--detach', commit)
    await git(folder, 'clean', '-ffdxq')
  }
}
