"""What a run leaves for people to read: the table, the contact sheet, the videos.

`tables` turns records into rows, `pictures` frames into one PNG, `video` frames into an MP4, and
`bundle.write_report` puts all three into the run folder. Nothing here measures or judges.
"""
