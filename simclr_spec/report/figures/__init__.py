"""Figures of reports: what they show as data (`points`), and how it is drawn. Nothing else imports matplotlib."""
