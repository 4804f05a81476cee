"""How replicas come together: joining, acknowledgement, fan-out, presence. Floor 2."""
