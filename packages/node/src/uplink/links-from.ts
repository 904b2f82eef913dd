import { type NetworkConfig, waysTo } from './ways.ts'
import { openRelayLink } from './relay-link.ts'

/** Links as this machine's network wants them, for whoever dials before a node runs here. */
export const linksFrom =
  (config: NetworkConfig, env: NodeJS.ProcessEnv): typeof openRelayLink =>
  (options) =>
    openRelayLink({ ...options, ways: () => waysTo(options.address, config, env) })
