"""The questions that a judge is asked, as a dataset for other trainers, with the reward that goes with them.

write.write_questions(config.QuestionsConfig(place="miniature", to="easyr1", out=Path("out/easyr1")))
"""
