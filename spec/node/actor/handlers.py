def double(payload):
    return {"value": payload["value"] * 2}
