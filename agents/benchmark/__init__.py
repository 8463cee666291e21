"""Speed of memories, alone and in training, acting and learning from data, against what others wrote."""
