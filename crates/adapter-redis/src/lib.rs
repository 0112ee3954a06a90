//! Redis, Valkey and Redis Cluster behind the ports of hexmem.
