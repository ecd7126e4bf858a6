"""The Open Inference Protocol, version 2: what KServe's and Triton's clients speak, over REST and gRPC.

A request brings the model's inputs themselves: nothing is looked up. `tensors` are its data, `contract` says what a
model takes and gives; `rest` is its form in JSON and raw bytes, `messages` that of gRPC.
"""
