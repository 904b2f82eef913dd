import { loadConfig } from './load.ts'
import type { Config } from './schema.ts'

/** The config of a running node: what it last read whole. */
export class ConfigKeeper {
  readonly path: string
  #now: Config
  readonly #listeners: ((config: Config) => void)[] = []

  private constructor(path: string, now: Config) {
    this.path = path
    this.#now = now
  }

  /** Throws CONFIG_INVALID with line and column. */
  static async load(path: string): Promise<ConfigKeeper> {
    return new ConfigKeeper(path, await loadConfig(path))
  }

  get now(): Config {
    return this.#now
  }

  onChange(listener: (config: Config) => void): void {
    this.#listeners.push(listener)
  }

  /** A config that cannot be used leaves the old one in force, and is thrown. */
  async reload(): Promise<void> {
    this.#now = await loadConfig(this.path)
    for (const listener of this.#listeners) listener(this.#now)
  }
}
