from fastapi import HTTPException, Request


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body of a request, given up as soon as it is too large, whether or not its length was announced."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"expected at most {max_bytes} bytes in the body, found more")
    return bytes(body)
