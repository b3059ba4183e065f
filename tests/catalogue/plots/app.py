"""Plots: an app of Dash without a name for its server, whose style sheet is built with pnpm."""

from dash import Dash, dcc, html

app = Dash(__name__, url_base_pathname="/plots/")
app.layout = html.Div([html.H1("Plots"), dcc.Graph(figure={"data": [{"x": [1, 2], "y": [2, 1]}]})])


@app.server.get("/")
def index():
    """Return the version."""
    return {"version": 1, "notes": []}


if __name__ == "__main__":
    app.run()
