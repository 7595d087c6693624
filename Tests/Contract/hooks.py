"""What schemathesis is told about the service besides openapi.json."""
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nobody waits for a whole minute: what may wait longer waits for a second."""
    if str(case.query.get("wait", "")).isdigit() and 1 <= int(case.query["wait"]) <= 55:
        case.query["wait"] = 1
