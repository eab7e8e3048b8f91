"""Tests of the report: tables, pictures, video files and the bundle of them."""
