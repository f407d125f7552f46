"""What was judged and what people said of it: verdicts with pictures in a database, reviews, and what is made of them.

The database is the truth for every process and every restart. SQLAlchemy is imported only where one is opened.
"""
