"""The task ``lora_delta``: LoRA on a text classifier."""
