"""Trading rules over time: in force, announced, put into force when their time comes."""
