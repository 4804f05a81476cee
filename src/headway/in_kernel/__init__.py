"""What runs inside an ipykernel, and not in Headway.

Each module's text is sent to a kernel as it stands, by `prepare_request` in
`headway.core.kernel.ipykernel`, and its `prepare(kernel)` is called there, in silence. So it
imports nothing of ours, runs with every Python that ipykernel runs with (3.9 and later), and
changes nothing when it is imported here, for its limits and names. Below all floors.

`NEEDS` of each has what it uses of the kernel, by path. All of it is looked for before any of them
takes anything over: a kernel of a version that lacks something works as it comes.
"""
