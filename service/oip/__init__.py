"""Speaks the Open Inference Protocol, version 2, over REST and gRPC: KServe's, Triton's and OpenVINO's clients send it.

    bytes -> json_form | grpc.messages -> InferRequest -> judge -> Inspector -> outputs -> the same form back

An adapter around the core's Inspector, as REST is one: keys, limits, deadlines and metrics are those of the service.
"""
