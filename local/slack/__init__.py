"""A stand-in for a Slack workspace: the Web API, signed interactivity and a page in the browser.

`slack_sdk.WebClient(base_url="http://127.0.0.1:4580/api/")` works on it unchanged. Start it with
`python -m local.slack`; `server.py` lists every route.
"""
