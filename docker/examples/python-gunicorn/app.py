"""A WSGI application; nothing in it knows of its supervisor."""
import os

WORD = os.environ.get('GREETING', 'hello')
GREETING = f"{WORD} from generation={os.environ.get('DUTCH_MASTER_GENERATION')}\n".encode()


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(GREETING)))])
    return [GREETING]
