"""The benchmark `bin/bench`: Outport compared with manual deployment, on the same host under the same load."""
