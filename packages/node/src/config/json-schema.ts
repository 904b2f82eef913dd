import { z } from 'zod'
import { Config } from './schema.ts'

/** For editors: what `config check` checks, less what only it can (aliases among one another). */
export const jsonSchema = (): object => ({
  title: 'config.toml of a Sealmesh node',
  ...z.toJSONSchema(Config, { target: 'draft-07', io: 'input' }),
})

/** As it is written beside a config. */
export const jsonSchemaText = (): string => `${JSON.stringify(jsonSchema(), null, 2)}\n`
