"""What tells content from other content, exactly and nearly: hashes of texts, pictures, frames and sound."""
