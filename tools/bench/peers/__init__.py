"""What a user would pick instead, measured beside the store: etcd and Valkey, three nodes each."""
